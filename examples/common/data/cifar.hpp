// SPDX-License-Identifier: Apache-2.0
// CIFAR-10 and CIFAR-100 (Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/cifar.html): 50,000
// training and 10,000 test photographs of 32 x 32 pixels in 10 or 100 classes.
//
// Layout of the "binary version": records of one label byte (CIFAR-100: two, for the coarse and the
// fine class) and 3,072 bytes of pixels: the red, the green and the blue image, row by row.
#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <string>
#include <vector>

namespace examples {

struct CifarData {
  at::Tensor pixels;                 // uint8 [n, 32, 32, 3]: row, column, colour
  at::Tensor targets;                // int64 [n], 0 to classes.size() - 1; CIFAR-100: fine classes
  std::vector<std::string> classes;  // 10 or 100 names
};

// Reads the training or the test examples of the data set whose files are in `folder`:
//   CIFAR-10: data_batch_1.bin to data_batch_5.bin, test_batch.bin, names in batches.meta.txt
//   CIFAR-100: train.bin, test.bin, names in fine_label_names.txt
// Without the file of names, the classes are called "0", "1" and so on. Throws std::runtime_error
// naming the file for anything missing or damaged, and naming the folder if it has the files of
// neither or of both.
CifarData load_cifar(const std::filesystem::path& folder, bool train);

}  // namespace examples
