"""Status out, commands in: what an engine instance says about itself, and what it can be told to do.

`status` are the shapes of the status topic, `reporter` writes them, `view` reads them back for routing, `commands`
keeps the commands that run, `routes` is their HTTP face. The console imports the shapes and nothing else from here.
"""
