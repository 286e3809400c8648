"""Files: atomic writes, .npz and .safetensors."""
