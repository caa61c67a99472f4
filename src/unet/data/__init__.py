"""From a folder of files to samples: pairing, scanning, class tables, preprocessing, augmentation."""
