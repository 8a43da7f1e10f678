"""From a headset to an emotion: a source of samples, its clock, the session, and where its answers go."""
