"""Who is in a rendered crowd: bodies, poses, outfits, where each stands."""
