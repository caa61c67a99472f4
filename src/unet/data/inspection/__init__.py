"""What is right and wrong with a data set: each check is a function that returns findings and raises nothing.

`files` is about single files, `copies` about pictures that are there twice, `pictures` about what the pictures are
like, `values` about what the masks hold, `masks` about single masks, `splits` about what is held out; `survey` puts
them together.
"""
