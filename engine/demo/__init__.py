"""The demo: a year of real departures from New York's airports, the applications over them, and what feeds them."""
