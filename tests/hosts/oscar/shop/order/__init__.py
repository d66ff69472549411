"""Oscar's app `order`, with what is ours."""
