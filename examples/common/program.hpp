// SPDX-License-Identifier: Apache-2.0
// The main() of all examples: command line, the options that every example has, errors in one line,
// exit codes.
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "common/settings.hpp"

namespace examples {

// The options with the same name and meaning everywhere. An example may change the defaults.
struct CommonSettings {
  std::string out = "results";  // folder for everything that is written
  int64_t seed = 1;             // of data, initial weights and noise; the first of `seeds`
  int64_t seeds = 1;            // runs, with seeds seed, seed + 1, ...
  std::string device = "cpu";   // where to train: cpu, cuda, cuda:1
  bool bf16 = false;            // forward passes under autocast to bfloat16
  int threads = 0;              // CPU threads; 0: all cores. The real number when run() is called
  int64_t samples = 32;         // weight samples averaged at test time
  bool smoke = false;           // a run of seconds that only shows that everything works
  bool resume = false;          // go on from the checkpoints in `out`
};

struct Program {
  std::string name;         // of the executable, in messages
  std::string description;  // one line, for --help
  CommonSettings& common;
  // The common options that mean nothing in this example, such as "bf16"; they are not offered.
  std::set<std::string> without;
  // Declares the example's own settings. May be empty.
  std::function<void(Settings&)> add_settings;
  // Sets what makes a smoke run short. It wins over a preset, and the command line wins over it. It
  // may be called more than once. May be empty.
  std::function<void()> smoke;
  // The example itself. `settings` is the list of all settings, for fingerprint and results.
  std::function<void(const Settings& settings)> run;
  // Where the arguments go that belong to no option, at least one; null: there are none.
  std::vector<std::string>* files = nullptr;
  std::string files_help = {};
  // The default of --out where commands of one program have folders of their own; empty: that of
  // `common`.
  std::string out = {};
};

// Parses the command line, sets the number of threads, runs the program, and turns what it throws
// into one line on stderr. Returns the exit code: 0, also after --help and --print-config; 1 after
// an error; CLI11's (above 100) for a wrong command line; 128 + signal after an Interrupted.
int run_program(int argc, char** argv, const Program& program);

// An option that stands in a command's place, prints something and ends the program.
struct Flag {
  std::string name, help;  // "--list-models"
  std::function<void()> run;
};

// The same for a program with commands, `NAME COMMAND [OPTION]...`: the first argument is the name
// of one of `commands`. Without a command, or with --help, it prints the list of them.
int run_command(int argc, char** argv, const std::string& name, const std::string& description,
                const std::vector<Program>& commands, const std::vector<Flag>& flags = {});

// What keeps the device of that name from being used; empty if nothing does.
std::string check_device(const std::string& name);

// The command that was given, quoted for a shell, with --resume at its end.
std::string resume_command(int argc, char** argv);

}  // namespace examples
