"""Oscar's app `checkout`, with what is ours."""
