"""Writes tests/image/pillow.tsv: what Pillow makes of photographs (made with Pillow 13.0.0, libjpeg-turbo).

usage: python3 tests/image/pillow.py > tests/image/pillow.tsv     with FACEMILL_DATA and FACEMILL_MODELS set
"""
import hashlib
import os

from PIL import Image, ImageOps

PHOTOGRAPHS = """
faces/2007_007763.jpg faces/2008_002470.jpg faces/Tom_Cruise_avp_2014_4.jpg faces/bald_guys.jpg faces/dogs.jpg
faces/faceapi_sample1.jpg faces/faceapi_sample4.jpg faces/fr_obama.jpg faces/fr_two_people.jpg
photos/32bit.png photos/biden.jpg photos/obama_partial_face.jpg
"""

print("file\twidth\theight\tblake2b-256 of RGB")
for name in PHOTOGRAPHS.split():
    root = os.environ["FACEMILL_MODELS" if name.startswith("photos/") else "FACEMILL_DATA"]
    image = ImageOps.exif_transpose(Image.open(os.path.join(root, name))).convert("RGB")
    print(name, image.width, image.height, hashlib.blake2b(image.tobytes(), digest_size=32).hexdigest(), sep="\t")
