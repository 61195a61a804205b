// SPDX-License-Identifier: Apache-2.0
#include "common/checkpoint.hpp"

#include <ATen/Context.h>
#include <ATen/core/Generator.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <zlib.h>

#include <algorithm>
#include <fstream>
#include <mutex>
#include <stdexcept>
#include <utility>

#include "common/atomic_file.hpp"

namespace examples {
namespace {

// Thrown by the comparison of settings, to tell it from the errors of a damaged file.
struct OtherSettings : std::runtime_error {
  using std::runtime_error::runtime_error;
};

c10::IValue read(torch::serialize::InputArchive& archive, const std::string& key) {
  c10::IValue value;
  archive.read(key, value);
  return value;
}

// The file is LibTorch's archive and then kTrailer bytes: kMark and the archive's CRC-32 as eight
// hexadecimal digits. LibTorch itself loads an archive with changed bytes without a word.
constexpr const char* kMark = "IVONCRC:";
constexpr size_t kTrailer = 16;

uint32_t add_to_crc(uint32_t crc, const void* data, size_t size) {
  return static_cast<uint32_t>(crc32_z(crc, static_cast<const Bytef*>(data), size));
}

// The archive within a checkpoint file. Throws std::runtime_error if it is not whole.
class ArchiveFile {
 public:
  explicit ArchiveFile(const std::filesystem::path& file) : in_(file, std::ios::binary) {
    if (!in_) throw std::runtime_error("it cannot be opened");
    const auto bytes = static_cast<size_t>(std::filesystem::file_size(file));
    if (bytes < kTrailer) throw std::runtime_error("it is truncated");
    size_ = bytes - kTrailer;
    uint32_t crc = 0;
    std::vector<char> chunk(size_t{1} << 20);
    for (size_t position = 0; position < size_; position += chunk.size()) {
      const size_t count = std::min(chunk.size(), size_ - position);
      read(position, chunk.data(), count);
      crc = add_to_crc(crc, chunk.data(), count);
    }
    std::string trailer(kTrailer, ' ');
    read(size_, trailer.data(), kTrailer);
    if (trailer.rfind(kMark, 0) != 0) throw std::runtime_error("it is truncated");
    if (trailer != fmt::format("{}{:08x}", kMark, crc)) {
      throw std::runtime_error("its checksum is wrong");
    }
  }

  size_t size() const { return size_; }

  // `count` bytes from `position` into `out`; throws if there are fewer.
  size_t read(uint64_t position, void* out, size_t count) {
    in_.seekg(static_cast<std::streamoff>(position));
    in_.read(static_cast<char*>(out), static_cast<std::streamsize>(count));
    if (!in_) throw std::runtime_error("it cannot be read");
    return count;
  }

 private:
  std::ifstream in_;
  size_t size_ = 0;
};

// The devices whose default generators belong to a training on `device`.
std::vector<torch::Device> generator_devices(const torch::Device& device) {
  std::vector<torch::Device> devices = {torch::kCPU};
  if (!device.is_cpu()) devices.push_back(device);
  return devices;
}

std::string generator_key(const torch::Device& device) {
  return "generator_" + c10::DeviceTypeName(device.type(), /*lower_case=*/true);
}

void save_generator(torch::serialize::OutputArchive& whole, const torch::Device& device) {
  at::Generator generator = at::globalContext().defaultGenerator(device);
  const std::lock_guard<std::mutex> lock(generator.mutex());
  whole.write(generator_key(device), generator.get_state(), /*is_buffer=*/true);
}

// A checkpoint of a CPU run has no state for a CUDA generator, which then stays as seeded.
void load_generator(torch::serialize::InputArchive& whole, const torch::Device& device) {
  torch::Tensor state;
  if (!whole.try_read(generator_key(device), state, /*is_buffer=*/true)) return;
  at::Generator generator = at::globalContext().defaultGenerator(device);
  const std::lock_guard<std::mutex> lock(generator.mutex());
  generator.set_state(state.cpu());
}

}  // namespace

Checkpoint::Checkpoint(std::filesystem::path file, Json fingerprint, torch::Device device)
    : file_(std::move(file)), fingerprint_(std::move(fingerprint)), device_(device) {}

void Checkpoint::save(const Position& position) const {
  torch::serialize::OutputArchive whole;
  whole.write("settings", c10::IValue(fingerprint_.dump()));
  whole.write("epoch", c10::IValue(position.epoch));
  whole.write("batch", c10::IValue(position.batch));
  whole.write("seconds", c10::IValue(position.seconds));
  whole.write("last_loss", c10::IValue(position.last_loss));
  const torch::Tensor zero = torch::zeros({}, torch::kDouble);
  whole.write("loss_sum", position.loss_sum.defined() ? position.loss_sum : zero,
              /*is_buffer=*/true);
  for (const torch::Device& device : generator_devices(device_)) save_generator(whole, device);
  for (const Part& part : parts_) {
    torch::serialize::OutputArchive archive(whole.compilation_unit());
    part.save(archive);
    whole.write(part.key, archive);
  }
  AtomicFile out(file_);
  // A failure is reported by commit(): LibTorch's writer must not see one, since its destructor
  // would write again.
  uint32_t crc = 0;
  whole.save_to([&](const void* data, size_t size) {
    out.write(data, size);
    crc = add_to_crc(crc, data, size);
    return size;
  });
  const std::string trailer = fmt::format("{}{:08x}", kMark, crc);
  out.write(trailer.data(), trailer.size());
  out.commit();
}

std::optional<Position> Checkpoint::load() {
  if (!std::filesystem::exists(file_)) return {};
  const auto damaged = [this](const std::string& reason) {
    return std::runtime_error(fmt::format(
        "{}: is damaged or not a checkpoint of this program ({}); delete it or leave --resume out",
        file_.string(), reason.substr(0, reason.find('\n'))));
  };
  try {
    ArchiveFile archive(file_);
    // LibTorch refers to both functions while it reads.
    const std::function<size_t(uint64_t, void*, size_t)> read_bytes =
        [&archive](uint64_t position, void* out, size_t count) {
          return archive.read(position, out, count);
        };
    const std::function<size_t()> byte_count = [&archive] { return archive.size(); };
    torch::serialize::InputArchive whole;
    whole.load_from(read_bytes, byte_count, device_);
    check_fingerprint(whole);
    return load_parts(whole);
  } catch (const OtherSettings&) {
    throw;
  } catch (const c10::Error& error) {
    throw damaged(error.what_without_backtrace());
  } catch (const std::exception& error) {
    throw damaged(error.what());
  }
}

Position Checkpoint::load_parts(torch::serialize::InputArchive& whole) {
  Position position;
  position.epoch = read(whole, "epoch").toInt();
  position.batch = read(whole, "batch").toInt();
  position.seconds = read(whole, "seconds").toDouble();
  position.last_loss = read(whole, "last_loss").toDouble();
  whole.read("loss_sum", position.loss_sum, /*is_buffer=*/true);
  for (const Part& part : parts_) {
    torch::serialize::InputArchive archive;
    whole.read(part.key, archive);
    part.load(archive);
  }
  for (const torch::Device& device : generator_devices(device_)) load_generator(whole, device);
  return position;
}

void Checkpoint::check_fingerprint(torch::serialize::InputArchive& whole) const {
  const Json saved = Json::parse(read(whole, "settings").toStringRef());
  const std::vector<std::string> lines = differences(saved, fingerprint_);
  if (lines.empty()) return;
  throw OtherSettings(
      fmt::format("{}: was written with other settings:\n  {}\nGive the same settings, name "
                  "another folder with --out, or leave --resume out to start afresh.",
                  file_.string(), fmt::join(lines, "\n  ")));
}

}  // namespace examples
