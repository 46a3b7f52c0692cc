"""What is known of a picture before anybody is found in it, and how parts of it are cut out."""
