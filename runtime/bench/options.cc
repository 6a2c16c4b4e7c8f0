#include "options.h"

#include <algorithm>
#include <cstdlib>
#include <string>
#include <string_view>

namespace alcs {
namespace bench {
namespace {

// Comma-separated numbers in [low, high]; "whole" is 0.
Status ParseNumbers(std::string_view flag, const std::string& text, double low, double high,
                    std::vector<double>* numbers) {
  numbers->clear();
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t comma = std::min(text.find(',', at), text.size());
    const std::string item = text.substr(at, comma - at);
    char* end = nullptr;
    double value = std::strtod(item.c_str(), &end);
    if (item == "whole" && low == 0) {
      value = 0;
    } else if (item.empty() || *end != '\0' || !(value >= low && value <= high)) {
      return Status::Error("--" + std::string(flag) + "=" + text + ": '" + item +
                           "' is not possible");
    }
    numbers->push_back(value);
    at = comma + 1;
  }
  return Status();
}

Status ParseOption(std::string_view flag, const std::string& value, Options* options) {
  if (flag == "isa") return ParseIsa(value, &options->isa);
  std::vector<double> numbers;
  Status status;
  if (flag == "density") {
    status = ParseNumbers(flag, value, 1e-6, 1, &numbers);
    if (status.ok()) options->densities = numbers;
  } else if (flag == "simd-group") {
    status = ParseNumbers(flag, value, 0, 1024, &numbers);
    if (status.ok()) options->simd_groups.assign(numbers.begin(), numbers.end());
  } else {
    status = ParseNumbers(flag, value, 1, 1e6, &numbers);
    if (status.ok()) options->cold_runs = static_cast<int64_t>(numbers.front());
  }
  return status;
}

}  // namespace

const char kUsage[] =
    "  --isa=NAME               default: ALCS_FORCE_ISA, or the best of"
#define ALCS_ISA_HERE(name, ...) " " #name
#include "alcs/isas.inc"
    "\n"
    "  --simd-group=4,8,whole   SIMD-group sizes (default: 4,8, and all for some layers)\n"
    "  --density=1,0.3,0.1      kept shares of the groups (layers that pruning leaves alone: 1)\n"
    "  --cold-runs=25           runs of a cold benchmark\n";

Status ParseOptions(int* argc, char** argv, Options* options) {
  Status status = SelectIsa(&options->isa);
  int kept = 1;
  for (int i = 1; i < *argc; ++i) {
    const std::string_view argument = argv[i];
    const std::size_t equals = argument.find('=');
    const std::string_view flag = argument.substr(0, equals);
    const bool ours =
        flag == "--isa" || flag == "--simd-group" || flag == "--density" || flag == "--cold-runs";
    if (!ours) {
      argv[kept++] = argv[i];
      continue;
    }
    if (equals == std::string_view::npos) {
      return Status::Error(std::string(flag) + " needs a value: " + std::string(flag) + "=VALUE");
    }
    const Status parsed =
        ParseOption(flag.substr(2), std::string(argument.substr(equals + 1)), options);
    if (!parsed.ok()) return parsed;
    if (flag == "--isa") status = Status();  // whatever the environment says
  }
  *argc = kept;
  return status;
}

}  // namespace bench
}  // namespace alcs
