"""facemill and ONNX Runtime by turns, one thread each, processor time.

    networks.py TIMER DIR NAME[:BATCH] ...    models DIR/NAME/model.onnx as tests/peers/networks.py makes them
"""
import os
import statistics
import subprocess
import sys
import time

import numpy
import onnxruntime

ROUNDS = int(os.environ.get("ROUNDS", "9"))


def peer(path, batch):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    port = session.get_inputs()[0]
    shape = [d if isinstance(d, int) else batch for d in port.shape]
    size = int(numpy.prod(shape))
    x = ((numpy.arange(size, dtype=numpy.int64) * 7919 % 2000).astype(numpy.float32) / 1000 - 1).reshape(shape)

    def run():
        start = time.process_time()
        session.run(None, {port.name: x})
        return (time.process_time() - start) * 1e3

    run()
    return run


def main():
    timer, folder = sys.argv[1:3]
    print(f"{'network':26}{'batch':>6}{'facemill ms':>13}{'runtime ms':>12}{'ratio':>8}{'best':>8}{'spread':>8}")
    for word in sys.argv[3:]:
        name, _, batch = word.partition(":")
        batch = int(batch or 8)
        path = os.path.join(folder, name, "model.onnx")
        theirs = peer(path, batch)
        with subprocess.Popen([timer, path, str(batch)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as ours:
            a, b = [], []
            for _ in range(ROUNDS):
                ours.stdin.write("\n")
                ours.stdin.flush()
                a.append(float(ours.stdout.readline()))
                b.append(theirs())
            ours.stdin.close()
        ratios = sorted(y / x for x, y in zip(a, b))
        print(f"{name:26}{batch:6}{statistics.median(a):13.2f}{statistics.median(b):12.2f}{statistics.median(ratios):8.2f}"
              f"{min(b) / min(a):8.2f}{ratios[-1] - ratios[0]:8.2f}", flush=True)


main()
