"""What several commands share: the loaded model on its target, verification, training."""
