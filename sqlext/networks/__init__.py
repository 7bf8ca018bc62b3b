"""Files of networks as data: ONNX and BigDL files read, cut and written, and the head that training adds. No Spark, no catalog."""
