"""Whole models, dense ONNX Runtime and others against this engine, in one interleaved run."""
