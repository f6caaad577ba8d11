"""Alert rules: what they look for, when they fire, and how somebody is told. ``tasks`` runs it every few seconds."""
