"""Annotations of other programs, turned into pictures and masks.

A module for each format (`coco`, `labelme`, `yolo`, `huggingface`, `objects`, `nnunet`) reads it into `items`, the
objects become pixels in `regions`, and `writing` puts all of it into a new folder.
"""
