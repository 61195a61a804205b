// SPDX-License-Identifier: Apache-2.0
#include "common/data/png_writer.hpp"

#include <c10/util/StringUtil.h>
#include <fmt/format.h>
#include <spng.h>

#include <cstdint>
#include <memory>
#include <new>
#include <stdexcept>

#include "common/atomic_file.hpp"

namespace examples {
namespace {

void check_encoding(const std::filesystem::path& file, int code) {
  if (code != 0) {
    throw std::runtime_error(fmt::format("{}: cannot be written as a PNG file ({})", file.string(),
                                         spng_strerror(code)));
  }
}

// libspng hands over the next bytes of the file.
int append_to_file(spng_ctx* /*encoder*/, void* file, void* bytes, size_t size) {
  static_cast<AtomicFile*>(file)->write(bytes, size);
  return 0;  // commit() reports what failed
}

}  // namespace

void write_png(const std::filesystem::path& file, const at::Tensor& pixels) {
  if (!pixels.device().is_cpu() || pixels.scalar_type() != at::kByte || pixels.dim() != 3 ||
      pixels.size(2) != 3 || pixels.numel() == 0) {
    throw std::invalid_argument(
        fmt::format("{}: pixels must be a uint8 tensor [h, w, 3] on the CPU with h, w >= 1, got {} "
                    "{}",
                    file.string(), c10::toString(pixels.scalar_type()), c10::str(pixels.sizes())));
  }
  const std::unique_ptr<spng_ctx, void (*)(spng_ctx*)> encoder(spng_ctx_new(SPNG_CTX_ENCODER),
                                                               spng_ctx_free);
  if (encoder == nullptr) throw std::bad_alloc();
  const at::Tensor rows = pixels.contiguous();
  spng_ihdr header = {};
  header.height = static_cast<uint32_t>(rows.size(0));
  header.width = static_cast<uint32_t>(rows.size(1));
  header.bit_depth = 8;
  header.color_type = SPNG_COLOR_TYPE_TRUECOLOR;
  AtomicFile out(file);
  check_encoding(file, spng_set_png_stream(encoder.get(), append_to_file, &out));
  check_encoding(file, spng_set_ihdr(encoder.get(), &header));
  check_encoding(file, spng_encode_image(encoder.get(), rows.const_data_ptr<uint8_t>(),
                                         rows.nbytes(), SPNG_FMT_PNG, SPNG_ENCODE_FINALIZE));
  out.commit();
}

}  // namespace examples
