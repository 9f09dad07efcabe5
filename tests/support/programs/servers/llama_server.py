"""llama.cpp's server, as the package xllamacpp carries it: python llama_server.py GGUF CONTEXT PORT."""

import sys
import threading

import xllamacpp

path, context, port = sys.argv[1:]
options = xllamacpp.CommonParams()
options.model.path = path
options.n_ctx = int(context)
options.n_parallel = 1
options.hostnames = ["127.0.0.1"]
options.port = int(port)
options.warmup = False
# Its threads wait for each other without rest, which makes a busy machine slower than one thread is.
options.cpuparams.n_threads = options.cpuparams_batch.n_threads = 1
server = xllamacpp.Server(options)
threading.Event().wait()
