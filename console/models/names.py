"""How long a name may be: applications, instances, stores, hosts."""

NAME_LENGTH = 200
