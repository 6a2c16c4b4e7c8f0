"""Make a trained ONNX CNN meet a latency budget on an ordinary CPU."""
