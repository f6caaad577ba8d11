"""What an instance shows of itself and takes orders through: handles for queries, status records, commands, the token.

Between the runtime, which knows none of it, and the composition root (`engine.instance`), which makes it. Nothing here
runs on the loop's thread but what is handed to it by name.
"""
