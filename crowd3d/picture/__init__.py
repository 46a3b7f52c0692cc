"""One picture: what is known about its camera before people are found, and how parts are cut out of it."""
