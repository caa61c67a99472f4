"""Models for other programs: ONNX, OpenVINO and torch programs, in int8 too, each compared with the original."""
