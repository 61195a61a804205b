// SPDX-License-Identifier: Apache-2.0
// Times one iteration of IVON and of other optimizers over the tensors of one model.
//
// Purpose  one process measures all contenders of one model, number of threads and instruction set,
//          interleaved, so that their ratios hold on a busy machine. Each result is checked.
// Command  ivon_benchmark --model resnet50 --threads 2     (IVON_CPU_ISA=avx2 for another set)
//          --benchmark_out=FILE writes JSON; benchmarks/run.sh runs everything and prints a table.
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <benchmark/benchmark.h>
#include <torch/version.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <ivon/kernels/cpu/isa.hpp>
#include <ivon/version.hpp>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "contenders.hpp"
#include "memory.hpp"
#include "models.hpp"
#include "noise.hpp"
#include "repetitions.hpp"

namespace ivon_benchmark {
namespace {

struct Settings {
  std::string model = "resnet50";
  std::vector<std::string> contenders;  // empty: all
  int threads = 1;
  int repetitions = 10;
};

// Built when first timed, kept to the end; or the reason why it could not be built.
struct Entrant {
  ContenderKind kind;
  std::unique_ptr<Contender> contender;
  std::string error;
};

std::string gigabytes(double bytes) {
  std::string text = std::to_string(bytes / 1e9);
  return text.substr(0, text.find('.') + 2) + " GB";
}

// Tells why a kind cannot run at all in this version; empty where it can.
std::string why_not(const ContenderKind& kind) {
  try {
    make_checked(kind, {{2}});
  } catch (const c10::Error& error) {
    return std::string("not available: ") + error.what_without_backtrace();
  }
  return {};
}

void build(Entrant& entrant, const Shapes& shapes) {
  if (entrant.contender || !entrant.error.empty()) return;
  const double needed = static_cast<double>(entrant.kind.resident * count_elements(shapes)) + 2e8;
  const auto available = static_cast<double>(available_bytes());
  if (available > 0 && needed > available) {
    entrant.error =
        "needs " + gigabytes(needed) + " of memory, " + gigabytes(available) + " are free";
    return;
  }
  try {
    entrant.contender = make_checked(entrant.kind, shapes);
  } catch (const std::exception& error) {
    entrant.error = error.what();
  }
}

// About 10 ms of work a repetition, by a guess of what one iteration takes.
int64_t iterations_for(const Shapes& shapes) {
  const bool slow = ivon::detail::current_isa() == ivon::detail::Isa::kPortable;
  const double guess = (slow ? 17e-9 : 1e-9) * static_cast<double>(count_elements(shapes)) +
                       1e-6 * static_cast<double>(shapes.size());
  return std::clamp<int64_t>(static_cast<int64_t>(0.01 / guess), 1, 2000);
}

void time_iterations(benchmark::State& state, Entrant& entrant, const Shapes& shapes,
                     std::optional<int64_t> memory_before) {
  build(entrant, shapes);
  if (!entrant.error.empty()) {
    state.SkipWithError(entrant.error.c_str());
    return;
  }
  for (auto _ : state) entrant.contender->iterate();
  if (memory_before) {
    state.counters["peak_bytes"] = static_cast<double>(peak_resident_bytes() - *memory_before);
  }
  state.counters["floor_bytes"] = static_cast<double>(entrant.kind.bytes);
  for (const at::Tensor& part : entrant.contender->result()) {
    if (!part.isfinite().all().item<bool>()) state.SkipWithError("wrong result: not finite");
  }
}

void register_contenders(const Settings& settings, const Shapes& shapes,
                         std::map<std::string, Entrant>& entrants) {
  for (const ContenderKind& kind : contender_kinds()) {
    const auto& wanted = settings.contenders;
    if (!wanted.empty() && std::find(wanted.begin(), wanted.end(), kind.name) == wanted.end()) {
      continue;
    }
    Entrant& entrant = entrants[kind.name];
    entrant.kind = kind;
    entrant.error = why_not(kind);
    // A peak is the process's, so it is told only where one contender has the process.
    std::optional<int64_t> memory_before;
    if (wanted.size() == 1) memory_before = resident_bytes();
    auto* registered =
        benchmark::RegisterBenchmark((settings.model + "/" + kind.name).c_str(),
                                     [&entrant, &shapes, memory_before](benchmark::State& state) {
                                       time_iterations(state, entrant, shapes, memory_before);
                                     });
    const int repetitions = entrant.error.empty() ? settings.repetitions : 1;
    repeat(registered, iterations_for(shapes), repetitions, count_elements(shapes));
  }
  if (entrants.empty()) throw std::invalid_argument("--contenders names none that there is");
}

void describe_this_run(const Settings& settings) {
  benchmark::AddCustomContext("isa", ivon::detail::isa_name(ivon::detail::current_isa()));
  benchmark::AddCustomContext("threads", std::to_string(at::get_num_threads()));
  benchmark::AddCustomContext("libtorch", TORCH_VERSION);
  benchmark::AddCustomContext("libtorch_cpu_capability", at::get_cpu_capability());
  benchmark::AddCustomContext("ivon", ivon::kVersion);
  benchmark::AddCustomContext("model", settings.model);
}

int run(int argc, char** argv) {
  Settings settings;
  bool print_isa = false;
  bool list_shapes = false;
  CLI::App app(
      "Times optimizer iterations. Google Benchmark's options work too: --benchmark_out=FILE.");
  app.add_option("--model", settings.model,
                 "resnet50, gpt2, 100x1000, noise, or elements of one tensor: 1e6");
  app.add_option("--threads", settings.threads, "LibTorch's threads")->check(CLI::Range(1, 1024));
  app.add_option("--contenders", settings.contenders, "only these, by commas")->delimiter(',');
  app.add_option("--repetitions", settings.repetitions, "the least of so many counts")
      ->check(CLI::Range(1, 100000));
  app.add_flag("--print-isa", print_isa,
               "print the instruction set in use; an error where the processor lacks it");
  app.add_flag("--list-shapes", list_shapes, "print the model's shapes as JSON");

  std::vector<char*> benchmark_arguments = {argv[0]};
  std::string interleaving = "--benchmark_enable_random_interleaving=true";
  benchmark_arguments.push_back(interleaving.data());
  std::vector<char*> own_arguments = {argv[0]};
  for (int i = 1; i < argc; ++i) {
    const bool is_theirs = std::string(argv[i]).rfind("--benchmark_", 0) == 0;
    (is_theirs ? benchmark_arguments : own_arguments).push_back(argv[i]);
  }
  CLI11_PARSE(app, static_cast<int>(own_arguments.size()), own_arguments.data());
  if (print_isa) {
    std::cout << ivon::detail::isa_name(ivon::detail::current_isa()) << '\n';
    return 0;
  }
  if (list_shapes) {
    std::cout << nlohmann::json(shapes_of(settings.model)) << '\n';
    return 0;
  }

  at::set_num_threads(settings.threads);
  describe_this_run(settings);
  std::map<std::string, Entrant> entrants;
  Shapes shapes;
  if (settings.model == "noise") {
    register_noise(settings.repetitions);
  } else {
    shapes = shapes_of(settings.model);
    register_contenders(settings, shapes, entrants);
  }
  int count = static_cast<int>(benchmark_arguments.size());
  benchmark::Initialize(&count, benchmark_arguments.data());
  if (benchmark::ReportUnrecognizedArguments(count, benchmark_arguments.data())) return 1;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

}  // namespace
}  // namespace ivon_benchmark

int main(int argc, char** argv) {
  try {
    return ivon_benchmark::run(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << "ivon_benchmark: " << error.what() << '\n';
    return 1;
  }
}
