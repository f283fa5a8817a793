"""Networks as torchvision and timm export them, with random weights, and what ONNX Runtime makes of them.

    exported.py DIR    makes DIR/NAME/model.onnx, test_data_set_0/input_0.pb, output_0.pb

The graphs are the exporter's, with the shapes, constants and batch norms that it leaves; weights are the libraries'
own random ones, with batch norms that do something.
"""
import io
import os
import shutil
import sys

import onnx
import timm
import torch
import torchvision
from onnx import numpy_helper

from export_cases import save
from networks import SEED, image, session

# Name, library, input's side, opset: what studies of faces have used, over the range of opsets.
NETWORKS = [
    ("alexnet", torchvision, 224, 9), ("vgg16", torchvision, 224, 9), ("resnet50", torchvision, 224, 11),
    ("inception_v3", torchvision, 299, 11), ("googlenet", torchvision, 224, 12), ("densenet121", torchvision, 224, 13),
    ("mobilenet_v2", torchvision, 224, 13), ("mobilenet_v3_large", torchvision, 224, 14),
    ("mobilenet_v3_small", torchvision, 224, 17), ("shufflenet_v2_x1_0", torchvision, 224, 16),
    ("squeezenet1_1", torchvision, 224, 10), ("resnext50_32x4d", torchvision, 224, 15),
    ("seresnet50", timm, 224, 13), ("inception_v4", timm, 299, 12), ("inception_resnet_v2", timm, 299, 13),
    ("xception41", timm, 299, 17), ("legacy_xception", timm, 299, 11), ("resnet18", timm, 112, 16),
]


def network(name, library):
    torch.manual_seed(SEED)
    if library is timm:
        made = timm.create_model(name, pretrained=False)
    else:
        extra = {"init_weights": False, "aux_logits": False} if name in ("inception_v3", "googlenet") else {}
        made = torchvision.models.get_model(name, weights=None, **extra)
    for part in made.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(part.weight, 0.5, 1)
            torch.nn.init.normal_(part.bias, 0, 0.1)
            part.running_mean.normal_(0, 0.1)
            part.running_var.uniform_(0.8, 1.2)
    return made.eval()


def exported(made, side, opset):
    to = io.BytesIO()
    torch.onnx.export(made, torch.zeros(2, 3, side, side), to, opset_version=opset, input_names=["image"],
                      output_names=["out"], dynamic_axes={"image": {0: "batch"}, "out": {0: "batch"}})
    return onnx.load_from_string(to.getvalue())


def main():
    to = sys.argv[1]
    shutil.rmtree(to, ignore_errors=True)
    for name, library, side, opset in NETWORKS:
        model = exported(network(name, library), side, opset)
        s = session(model)
        x = image(s, 2)
        y = s.run(None, {s.get_inputs()[0].name: x})
        save(os.path.join(to, f"{name}_{opset}"), model, [numpy_helper.from_array(x)], [numpy_helper.from_array(v) for v in y])


if __name__ == "__main__":
    main()
