// SPDX-License-Identifier: Apache-2.0
#include "common/atomic_file.hpp"

#include <stdexcept>

namespace examples {

void AtomicFile::commit() {
  const std::string failure = file_.commit();
  if (!failure.empty()) throw std::runtime_error(failure);
}

void write_atomically(const std::filesystem::path& file, const std::string& text) {
  AtomicFile out(file);
  out.write(text.data(), text.size());
  out.commit();
}

}  // namespace examples
