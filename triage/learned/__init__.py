"""The learned layer as the service runs it: onnxruntime and a tokenizer, the model beside them, nothing else."""
