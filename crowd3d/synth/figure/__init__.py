"""What one rendered person consists of: meshes, clothes, bags."""
