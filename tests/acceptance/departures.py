"""What the year adds up to, from the data's own documentation; not computed by the code under test."""

BY_CARRIER = {
    "UA": 58_665,
    "B6": 54_635,
    "EV": 54_173,
    "DL": 48_110,
    "AA": 32_729,
    "MQ": 26_397,
    "US": 20_536,
    "9E": 18_460,
    "WN": 12_275,
    "VX": 5_162,
    "FL": 3_260,
    "AS": 714,
    "F9": 685,
    "YV": 601,
    "HA": 342,
    "OO": 32,
}
ALL = 336_776
# Those whose aircraft is known; the others were cancelled.
WITH_TAIL_NUMBER = 334_264
