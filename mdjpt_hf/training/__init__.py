"""Pre-training: one settings object, an Accelerate loop, checkpoints that survive anything."""
