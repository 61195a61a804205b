// SPDX-License-Identifier: Apache-2.0
#include "common/models/state_dict.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstddef>
#include <ivon/posterior/internal/atomic_file.hpp>
#include <ivon/posterior/internal/pickled_file.hpp>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

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

c10::IValue second_of(const c10::IValue& value) {
  TORCH_CHECK(value.isTuple() && value.toTupleRef().elements().size() == 2, kNoStateDict);
  return value.toTupleRef().elements()[1];
}

// The tensors of a file. Throws c10::Error without the file's name.
NamedTensors stored_tensors(const std::string& name) {
  ivon::detail::PickledFile file(name);
  const std::string pickle = with_plain_dictionary(file.pickle());
  c10::IValue content = file.content_of(pickle, kNoStateDict);
  if (pickle != file.pickle()) content = second_of(content);
  TORCH_CHECK(content.isGenericDict(), kNoStateDict);
  NamedTensors tensors;
  for (const auto& item : content.toGenericDict()) {
    TORCH_CHECK(item.key().isString() && item.value().isTensor(), kNoStateDict);
    file.check_tensor(item.value().toTensor(), item.key().toStringRef());
    tensors.emplace(item.key().toStringRef(), item.value().toTensor());
  }
  return tensors;
}

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
    const NamedTensors stored = stored_tensors(file.string());
    NamedTensors state = state_of(module);
    if (const std::string what = differences(state, stored); !what.empty()) {
      TORCH_CHECK(false, "it is of another model", what,
                  ". Build the model with the options of the file's");
    }
    const torch::NoGradGuard no_grad;
    for (auto& [name, tensor] : state) tensor.copy_(stored.at(name));
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
  ivon::detail::AtomicFile out(file.string());
  ivon::detail::write_pickled(tensors, out);
  const std::string failure = out.commit();
  if (!failure.empty()) throw std::runtime_error(failure);
}

}  // namespace examples
