"""Jobs: what people asked for, carried out once, to an end that can be read afterwards."""
