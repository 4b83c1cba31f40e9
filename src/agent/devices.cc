#include "agent/devices.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>

namespace gantry::agent {
namespace {

constexpr int sound_cards_max = 32;  // of ALSA
constexpr std::string_view loopback_card = "Loopback";
/// What a sound card of snd-aloop is made of: two devices, each to be written to and read from.
constexpr std::string_view sound_nodes[] = {"controlC{}", "pcmC{}D0c", "pcmC{}D0p", "pcmC{}D1c", "pcmC{}D1p"};

std::string sound_path(std::string_view node, int card) {
  return fmt::format("/dev/snd/{}", fmt::format(fmt::runtime(node), card));
}

bool is_there(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

std::optional<int> number_behind(std::string_view text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return std::nullopt;
  text.remove_prefix(prefix.size());
  int number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < 0) return std::nullopt;
  return number;
}

Error not_here(std::string_view device, std::string_view hint) {
  return Error(ErrorCode::unsupported, fmt::format("device {} is not on this machine", device), std::string(hint));
}

}  // namespace

/// Those that v4l2loopback has made: a camera is none of a task's business.
std::vector<int> DeviceStore::video_devices() const {
  std::vector<int> numbers;
  std::error_code error;
  for (const auto& entry :
       std::filesystem::directory_iterator(settings_.root + "/sys/devices/virtual/video4linux", error)) {
    auto number = number_behind(entry.path().filename().string(), "video");
    if (number && is_there(fmt::format("{}/dev/video{}", settings_.root, *number))) numbers.push_back(*number);
  }
  std::ranges::sort(numbers);
  return numbers;
}

std::vector<int> DeviceStore::sound_cards() const {
  std::vector<int> numbers;
  for (int card = 0; card < sound_cards_max; ++card) {
    std::string id;
    std::ifstream(fmt::format("{}/proc/asound/card{}/id", settings_.root, card)) >> id;
    bool whole = std::ranges::all_of(
        sound_nodes, [&](std::string_view node) { return is_there(settings_.root + sound_path(node, card)); });
    if (id.starts_with(loopback_card) && whole) numbers.push_back(card);
  }
  return numbers;
}

std::vector<int> DeviceStore::numbers_of(std::string_view device) const {
  if (device == "loopbackVideo") return video_devices();
  if (device == "loopbackAudio") return sound_cards();
  std::vector<int> numbers;
  for (int cpu = 0; device == "cpu" && settings_.restrict_cpu && cpu < cpus_; ++cpu) numbers.push_back(cpu);
  return numbers;
}

int DeviceStore::take_one(wire::RunRef run, const std::string& device) {
  for (const auto& [key, holder] : held_) {
    if (key.first == device && holder == run) return key.second;
  }
  std::vector<int> numbers = numbers_of(device);
  if (numbers.empty()) {
    throw not_here(device, device == "cpu" ? "its agent must be started with --restrict-cpu"
                                           : "load the kernel module v4l2loopback or snd-aloop there");
  }
  for (int number : numbers) {
    bool taken = !held_.try_emplace({device, number}, run).second;
    if (!taken) return number;
  }
  throw Error(ErrorCode::conflict,
              fmt::format("no device {} is free on this machine: all {} are in use", device, numbers.size()),
              "try again, or let the agent run fewer tasks at once");
}

void DeviceStore::give(wire::RunRef run, const std::string& device, engine::ContainerSpec& plan) {
  if (device == "kvm") {
    if (!is_there(settings_.root + "/dev/kvm"))
      throw not_here(device, "its processor, or the machine itself, has none");
    plan.devices.push_back({"/dev/kvm", "", "rwm"});
    return;
  }
  if (device == "hostSharedMemory") {
    if (!is_there(settings_.root + "/dev/shm")) throw not_here(device, "");
    plan.mounts.push_back({engine::Mount::Type::bind, "/dev/shm", "/dev/shm"});
    return;
  }
  int number = take_one(run, device);
  if (device == "loopbackVideo") plan.devices.push_back({fmt::format("/dev/video{}", number), "", "rwm"});
  if (device == "cpu") plan.cpuset = std::to_string(number);
  for (std::string_view node : sound_nodes) {
    if (device == "loopbackAudio") plan.devices.push_back({sound_path(node, number), "", "rwm"});
  }
  std::string& label = plan.labels[held_devices_label];
  label += fmt::format("{}{}:{}", label.empty() ? "" : " ", device, number);
}

void DeviceStore::restore(wire::RunRef run, const std::map<std::string, std::string>& labels) {
  auto label = labels.find(held_devices_label);
  if (label == labels.end()) return;
  std::string_view left = label->second;
  while (!left.empty()) {
    std::string_view held = left.substr(0, left.find(' '));
    left.remove_prefix(std::min(held.size() + 1, left.size()));
    std::string_view device = held.substr(0, held.find(':'));
    auto number = number_behind(held, fmt::format("{}:", device));
    if (number) held_.try_emplace({std::string(device), *number}, run);
  }
}

void DeviceStore::take_back(wire::RunRef run) {
  std::erase_if(held_, [&](const auto& held) { return held.second == run; });
}

std::set<wire::RunRef> DeviceStore::holders() const {
  std::set<wire::RunRef> runs;
  for (const auto& [device, run] : held_) runs.insert(run);
  return runs;
}

}  // namespace gantry::agent
