"""Oscar's app `partner`, with what is ours."""
