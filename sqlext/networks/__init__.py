"""Networks: reading ONNX files, checking them by numbers, and the head that training adds."""
