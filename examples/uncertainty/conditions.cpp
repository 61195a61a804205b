// SPDX-License-Identifier: Apache-2.0
#include "conditions.hpp"

#include <ATen/CPUGeneratorImpl.h>
#include <fmt/format.h>
#include <torch/torch.h>

#include <cstdio>
#include <stdexcept>

#include "clip_art.hpp"
#include "corruptions.hpp"

namespace uncertainty {
namespace {

void report_clip_art(const ClipArt& art, const std::filesystem::path& folder,
                     examples::RunLog& log) {
  for (const std::string& message : art.unreadable) log.write({{"left out", message}});
  if (!art.images.defined()) {
    fmt::print(stderr,
               "{}: there are no PNG files that can be read, so the clip art is left out; on "
               "Debian `apt-get install openclipart-png` provides /usr/share/openclipart/png, "
               "elsewhere name a folder with --clip-art\n",
               folder.string());
    return;
  }
  fmt::print("Clip art: {} images; {} files could not be read{}\n", art.images.size(0),
             art.unreadable.size(), art.unreadable.empty() ? "" : " and are named in log.jsonl");
}

}  // namespace

const Condition& TestSet::middle() const {
  std::vector<const Condition*> noise;
  for (const Condition& c : conditions) {
    if (c.corruption == "noise") noise.push_back(&c);
  }
  if (noise.empty()) throw std::logic_error("corruptions() must have one that is named noise");
  return *noise[noise.size() / 2];
}

TestSet TestSet::to(const torch::Device& device) const {
  TestSet there = *this;
  for (Condition& c : there.conditions) c.images = c.images.to(device);
  if (clip_art.defined()) there.clip_art = clip_art.to(device);
  return there;
}

TestSet make_test_set(const examples::FashionMnist& data, const std::filesystem::path& clip_art,
                      int64_t count, int64_t seed, examples::RunLog& log) {
  const torch::NoGradGuard no_grad;
  const examples::InMemory test = data.test.first(count);
  const torch::Tensor grey = examples::grey_levels(test.inputs).clamp(0, 1).contiguous();
  auto generator = at::make_generator<at::CPUGeneratorImpl>(static_cast<uint64_t>(seed));
  TestSet set;
  set.targets = test.targets;
  set.conditions.push_back({"clean", 0, examples::standardised(grey)});
  for (const Corruption& corruption : corruptions()) {
    for (const double level : corruption.levels) {
      const torch::Tensor corrupted = corruption.apply(grey, level, generator);
      set.conditions.push_back({corruption.name, level, examples::standardised(corrupted)});
    }
  }
  fmt::print("Reading clip art from {}\n", clip_art.string());
  const ClipArt art = read_clip_art(clip_art, count);
  report_clip_art(art, clip_art, log);
  if (art.images.defined()) set.clip_art = examples::standardised(art.images);
  return set;
}

}  // namespace uncertainty
