"""The models: one file per family member, each a plain function of (params, images, config, ops, tap)."""
