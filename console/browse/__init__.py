"""Reading stores through the engine's query service, and showing bytes that nobody vouches for."""
