// SPDX-License-Identifier: Apache-2.0
#include "common/program.hpp"

#include <ATen/Parallel.h>
#include <c10/core/Device.h>
#include <c10/util/Exception.h>
#include <fmt/format.h>
#include <torch/cuda.h>
#include <torch/version.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string_view>
#include <thread>

#include "common/interrupt.hpp"

namespace examples {
namespace {

constexpr int64_t kMaxCount = 1'000'000'000;
constexpr int kWrongCommandLine = 105;  // CLI11's code of a validation error

void add_common_settings(Settings& settings, const Program& program) {
  const auto add = [&](const char* name, auto& value, const char* help, Effect effect,
                       const CLI::Validator& check = CLI::Validator()) {
    if (program.without.count(name) == 0) settings.add(name, value, help, effect, check);
  };
  CommonSettings& c = program.common;
  add("out", c.out, "folder for everything that is written", Effect::kOther);
  add("seed", c.seed, "of data, initial weights and noise; the first with --seeds",
      Effect::kTraining, CLI::Range(int64_t{0}, kMaxCount));
  add("seeds", c.seeds, "number of runs, with seeds SEED, SEED + 1, ...", Effect::kOther,
      CLI::Range(int64_t{1}, kMaxCount));
  add("device", c.device, "where to train: cpu, cuda, or cuda:1 for a second GPU", Effect::kOther,
      CLI::Validator([](std::string& name) { return check_device(name); }, "DEVICE"));
  add("bf16", c.bf16,
      "forward passes under autocast to bfloat16; weights and optimizers stay float32",
      Effect::kTraining);
  add("threads", c.threads, "CPU threads; 0 = all cores", Effect::kOther, CLI::Range(0, 1024));
  add("samples", c.samples, "weight samples averaged at test time", Effect::kOther,
      CLI::Range(int64_t{1}, kMaxCount));
}

void add_switches(CLI::App& app, const Program& program) {
  if (program.without.count("resume") == 0) {
    app.add_flag("--resume", program.common.resume, "go on from the checkpoints in --out");
  }
  app.add_flag_callback(
         "--smoke",
         [&program] {
           program.common.smoke = true;
           if (program.smoke) program.smoke();
         },
         "a run of seconds that only shows that everything works")
      ->trigger_on_parse();  // so that other options win over what it sets
}

// OMP_NUM_THREADS is a wish of the user's as well, so 0 leaves it in force.
int set_threads(int threads) {
  if (threads == 0 && std::getenv("OMP_NUM_THREADS") == nullptr) {
    threads = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  }
  if (threads > 0) at::set_num_threads(threads);
  return at::get_num_threads();
}

int parse_and_run(int argc, char** argv, const Program& program) {
  CLI::App app(program.description, program.name);
  if (!program.out.empty()) program.common.out = program.out;
  Settings settings;
  add_common_settings(settings, program);
  if (program.add_settings) program.add_settings(settings);
  settings.add_options(app, [&program] {
    if (program.common.smoke && program.smoke) program.smoke();  // --smoke stands before --config
  });
  add_switches(app, program);
  if (program.files != nullptr) {
    app.add_option("FILE", *program.files, program.files_help)->required();
  }
  bool print_config = false;
  app.add_flag("--print-config", print_config, "print all settings as JSON (for --config) and end");
  CLI11_PARSE(app, argc, argv);
  if (print_config) {
    fmt::print("{}\n", settings.to_json().dump(2));
    return 0;
  }
  program.common.threads = set_threads(program.common.threads);
  program.run(settings);
  return 0;
}

std::string shell_quoted(const std::string& word) {
  constexpr const char* kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=+./:,@%";
  if (!word.empty() && word.find_first_not_of(kPlain) == std::string::npos) return word;
  std::string text = "'";
  for (const char c : word) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return text + "'";
}

// `arguments`: how many arguments of argv name the program: 1, or 2 with a command.
int parse_run_and_explain(int argc, char** argv, int arguments, const Program& program) {
  try {
    return parse_and_run(argc - arguments + 1, argv + arguments - 1, program);
  } catch (const Interrupted& interrupted) {
    fmt::print(stderr, "\n{}: {}; go on with: {}\n", program.name, interrupted.what(),
               resume_command(argc, argv));
    return 128 + interrupted.signal();
  } catch (const c10::Error& error) {
    fmt::print(stderr, "{}: {}\n", program.name, error.what_without_backtrace());
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}: {}\n", program.name, error.what());
  }
  return 1;
}

void print_commands(const std::string& name, const std::string& description,
                    const std::vector<Program>& commands, const std::vector<Flag>& flags) {
  fmt::print("{}\nUsage: {} COMMAND [OPTION]...\n\nCommands:\n", description, name);
  for (const Program& command : commands) {
    fmt::print("  {:<24} {}\n", command.name, command.description);
  }
  fmt::print("\nOptions:\n");
  for (const Flag& flag : flags) fmt::print("  {:<24} {}\n", flag.name, flag.help);
  fmt::print("  {:<24} {}\n  {:<24} {}\n", "--help", "this text", "COMMAND --help",
             "the options of a command");
}

}  // namespace

int run_program(int argc, char** argv, const Program& program) {
  return parse_run_and_explain(argc, argv, 1, program);
}

int run_command(int argc, char** argv, const std::string& name, const std::string& description,
                const std::vector<Program>& commands, const std::vector<Flag>& flags) {
  const std::string word = argc > 1 ? argv[1] : "";
  for (const Program& command : commands) {
    if (command.name != word) continue;
    Program named = command;
    named.name = name + " " + word;
    return parse_run_and_explain(argc, argv, 2, named);
  }
  for (const Flag& flag : flags) {
    if (flag.name != word) continue;
    flag.run();
    return 0;
  }
  const bool asked = word == "--help" || word == "-h";
  if (asked || word.empty()) {
    print_commands(name, description, commands, flags);
    return asked ? 0 : kWrongCommandLine;
  }
  std::string names;
  for (const Program& command : commands) names += (names.empty() ? "" : ", ") + command.name;
  fmt::print(stderr, "{}: there is no command '{}'; the commands are {}\n", name, word, names);
  return kWrongCommandLine;
}

std::string check_device(const std::string& name) {
  if (name.rfind("cpu", 0) != 0 && name.rfind("cuda", 0) != 0) {
    return "must be cpu, cuda or cuda:<number>, got " + name;
  }
  try {
    const c10::Device device(name);
    const auto count = torch::cuda::device_count();
    if (device.is_cpu() || (device.has_index() ? device.index() : 0) < static_cast<int>(count)) {
      return "";
    }
    return fmt::format("there is no {}: LibTorch {} sees {} CUDA devices here", name, TORCH_VERSION,
                       count);
  } catch (const c10::Error& error) {
    return error.what_without_backtrace();
  }
}

std::string resume_command(int argc, char** argv) {
  std::string command;
  bool resumes = false;
  for (int i = 0; i < argc; ++i) {
    command += (i == 0 ? "" : " ") + shell_quoted(argv[i]);
    resumes |= std::string_view(argv[i]) == "--resume";
  }
  return resumes ? command : command + " --resume";
}

}  // namespace examples
