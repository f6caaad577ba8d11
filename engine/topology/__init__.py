"""What a user's `build` function makes: a graph of plain descriptions, without any behaviour of its own."""
