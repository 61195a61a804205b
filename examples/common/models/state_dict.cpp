// SPDX-License-Identifier: Apache-2.0
#include "common/models/state_dict.hpp"

#include <caffe2/serialize/inline_container.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/csrc/jit/serialization/pickler.h>
#include <torch/csrc/jit/serialization/unpickler.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <ivon/posterior/internal/checked_archive.hpp>
#include <ivon/posterior/internal/posterior_file.hpp>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/atomic_file.hpp"

namespace examples {
namespace {

using NamedTensors = std::map<std::string, torch::Tensor>;

constexpr const char* kNoStateDict =
    "it holds no dictionary from names to tensors; save model.state_dict(), not the model";

// Turns the pickle of a collections.OrderedDict with `_metadata`, as a module's state_dict() is,
// into that of a tuple (class, plain dictionary), which LibTorch's unpickler can read: to it, an
// outer OrderedDict is None. Other pickles are returned as they are.
//
// Such a pickle (protocol 2) begins with the class and its call without arguments, ")R". An empty
// dictionary "}" in place of the call leaves the class on the stack below the dictionary. At the
// end, another dictionary with the entry "_metadata" becomes the object's attributes. It begins
// with "}", which the pickler remembers under a number ('q' and a byte, 'r' and four bytes). From
// there on the pickle is replaced by "\x86." (make a tuple of two, stop).
std::string with_plain_dictionary(std::string pickle) {
  using std::string_view_literals::operator""sv;
  constexpr std::string_view kBegin =
      "\x80\x02"
      "ccollections\nOrderedDict\nq\0)R"sv;
  constexpr std::string_view kMetadata = "X\x09\0\0\0_metadata"sv;
  constexpr std::string_view kEnd = "\x86."sv;
  constexpr size_t kCall = 2, kShortNumber = 3, kLongNumber = 6;  // bytes
  if (pickle.compare(0, kBegin.size(), kBegin) != 0) return pickle;
  size_t end = pickle.size() - 1;  // without attributes only the "." at the end is replaced
  if (const size_t name = pickle.rfind(kMetadata); name != std::string::npos) {
    for (const auto& [size, code] : {std::pair{kShortNumber, 'q'}, std::pair{kLongNumber, 'r'}}) {
      if (pickle[name - size] != '}' || pickle[name - size + 1] != code) continue;
      end = name - size;
      break;
    }
  }
  pickle.replace(end, std::string::npos, kEnd);
  return pickle.replace(kBegin.size() - kCall, kCall, "}");
}

// The tensors of a file. They share memory with it, so it must live as long as they are used.
class StateDictFile {
 public:
  // Throws c10::Error without the file's name.
  explicit StateDictFile(const std::string& file) : archive_(file) {
    const ivon::detail::CheckedArchive::Entry* entry = archive_.find("data.pkl");
    TORCH_CHECK(entry != nullptr, "it is no file of torch.save()");
    const std::string stored(static_cast<const char*>(entry->data.get()), entry->size);
    const std::string pickle = with_plain_dictionary(stored);
    c10::IValue content = parsed(pickle);
    if (pickle != stored) content = second_of(content);
    TORCH_CHECK(content.isGenericDict(), kNoStateDict);
    for (const auto& item : content.toGenericDict()) {
      TORCH_CHECK(item.key().isString() && item.value().isTensor(), kNoStateDict);
      const torch::Tensor& tensor = item.value().toTensor();
      check_inside_record(tensor, item.key().toStringRef());
      tensors_.emplace(item.key().toStringRef(), tensor);
    }
  }

  const NamedTensors& tensors() const { return tensors_; }

 private:
  c10::IValue parsed(const std::string& pickle) {
    size_t place = 0;
    const auto read = [&](char* out, size_t count) {
      count = std::min(count, pickle.size() - place);
      std::memcpy(out, pickle.data() + place, count);
      place += count;
      return count;
    };
    // Tied tensors name a record more than once, so its owner remains the archive.
    const auto read_record = [this](const std::string& name) {
      const ivon::detail::CheckedArchive::Entry* entry = archive_.find("data/" + name);
      TORCH_CHECK(entry != nullptr, "it lacks the data of a tensor");
      sizes_[entry->data.get()] = entry->size;
      return at::DataPtr(entry->data.get(), at::kCPU);
    };
    torch::jit::Unpickler unpickler(read, nullptr, nullptr, read_record, at::kCPU);
    try {
      return unpickler.parse_ivalue();
    } catch (const std::exception& error) {
      const auto* of_torch = dynamic_cast<const c10::Error*>(&error);
      TORCH_CHECK(false, kNoStateDict, " (",
                  of_torch != nullptr ? of_torch->what_without_backtrace() : error.what(), ")");
    }
  }

  static c10::IValue second_of(const c10::IValue& value) {
    TORCH_CHECK(value.isTuple() && value.toTupleRef().elements().size() == 2, kNoStateDict);
    return value.toTupleRef().elements()[1];
  }

  // LibTorch's unpickler does not compare the size that a tensor claims with that of its record.
  void check_inside_record(const torch::Tensor& tensor, const std::string& name) const {
    TORCH_CHECK(tensor.defined() && tensor.layout() == at::kStrided && tensor.is_cpu(), "'", name,
                "' is no dense tensor of the CPU; save model.cpu().state_dict()");
    if (tensor.storage().nbytes() == 0) return;
    const auto record = sizes_.find(tensor.storage().data());
    TORCH_CHECK(record != sizes_.end() && tensor.storage().nbytes() <= record->second, "'", name,
                "' is larger than its data");
  }

  ivon::detail::CheckedArchive archive_;
  std::map<const void*, size_t> sizes_;  // of the records that tensors use, by address
  NamedTensors tensors_;
};

NamedTensors state_of(const torch::nn::Module& module) {
  NamedTensors state;
  for (const auto& item : module.named_parameters()) state.emplace(item.key(), item.value());
  for (const auto& item : module.named_buffers()) state.emplace(item.key(), item.value());
  return state;
}

// "; WHAT: a, b" with at most five of the names; nothing if there are none.
std::string listed(const char* what, const std::vector<std::string>& names) {
  constexpr size_t kMostNames = 5;
  if (names.empty()) return "";
  const auto shown = static_cast<std::ptrdiff_t>(std::min(names.size(), kMostNames));
  const size_t more = names.size() - static_cast<size_t>(shown);
  return fmt::format("; {}: {}{}", what, fmt::join(names.begin(), names.begin() + shown, ", "),
                     more > 0 ? fmt::format(" and {} more", more) : "");
}

// How the file's names and shapes differ from the module's; empty if they do not.
std::string differences(const NamedTensors& module, const NamedTensors& file) {
  std::vector<std::string> missing, unknown, wrong;
  for (const auto& [name, tensor] : module) {
    const auto found = file.find(name);
    if (found == file.end()) {
      missing.push_back(name);
    } else if (found->second.sizes() != tensor.sizes()) {
      wrong.push_back(fmt::format("{} [{}], not [{}]", name, fmt::join(found->second.sizes(), ", "),
                                  fmt::join(tensor.sizes(), ", ")));
    }
  }
  for (const auto& item : file) {
    if (module.count(item.first) == 0) unknown.push_back(item.first);
  }
  return listed("missing", missing) + listed("unknown", unknown) + listed("wrong shapes", wrong);
}

}  // namespace

void load_state_dict(torch::nn::Module& module, const std::filesystem::path& file) {
  try {
    const StateDictFile stored(file.string());
    NamedTensors state = state_of(module);
    if (const std::string what = differences(state, stored.tensors()); !what.empty()) {
      TORCH_CHECK(false, "it is of another model", what,
                  ". Build the model with the options of the file's");
    }
    const torch::NoGradGuard no_grad;
    for (auto& [name, tensor] : state) tensor.copy_(stored.tensors().at(name));
  } catch (const c10::Error& error) {
    throw std::runtime_error(
        fmt::format("{}: cannot be loaded: {}", file.string(), error.what_without_backtrace()));
  }
}

void save_state_dict(const torch::nn::Module& module, const std::filesystem::path& file) {
  c10::Dict<std::string, at::Tensor> tensors;
  for (const auto& [name, tensor] : state_of(module)) {
    tensors.insert(name, ivon::detail::for_file(tensor));
  }
  std::string pickle;
  // Without type tags, which Python does not accept with weights_only.
  torch::jit::Pickler pickler([&](const char* data, size_t size) { pickle.append(data, size); },
                              nullptr, nullptr, nullptr, nullptr, /*tag_aggregates=*/false);
  pickler.protocol();
  pickler.pushIValue(tensors);
  pickler.stop();

  AtomicFile out(file);
  caffe2::serialize::PyTorchStreamWriter writer([&](const void* data, size_t size) {
    out.write(data, size);
    return size;
  });
  writer.writeRecord("data.pkl", pickle.data(), pickle.size());
  size_t number = 0;
  for (const at::Tensor& tensor : pickler.tensorData()) {
    const torch::jit::WriteableTensorData data = torch::jit::getWriteableTensorData(tensor);
    writer.writeRecord("data/" + std::to_string(number++), data.data(), data.sizeInBytes());
  }
  writer.writeEndOfFile();
  out.commit();
}

}  // namespace examples
