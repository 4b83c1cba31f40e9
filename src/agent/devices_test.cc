#include "agent/devices.h"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "agent/testing/agent_world.h"

namespace gantry::agent {
namespace {

/// A machine that is a folder.
struct DeviceTest : testing::Test {
  void make(const std::string& path, const std::string& content = "") {
    std::filesystem::path file = root.file("") + path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << content;
  }
  engine::ContainerSpec give(wire::RunRef run, const std::string& device) {
    engine::ContainerSpec plan;
    store.give(run, device, plan);
    return plan;
  }
  ErrorCode refusal(const std::string& device) {
    try {
      give(one, device);
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::internal;
  }

  TemporaryDirectory root;
  FakeEnv env;
  wire::RunRef one{TaskId::random(env), 0};
  wire::RunRef two{TaskId::random(env), 0};
  DeviceStore store{{root.file(""), true}};
};

TEST_F(DeviceTest, what_is_not_on_the_machine_is_refused) {
  for (const char* device : {"kvm", "hostSharedMemory", "loopbackVideo", "loopbackAudio", "cpu"}) {
    EXPECT_EQ(refusal(device), ErrorCode::unsupported) << device;
  }
  DeviceStore unrestricted{{root.file(""), false}};
  unrestricted.set_cpus(4);
  engine::ContainerSpec plan;
  EXPECT_THROW(unrestricted.give(one, "cpu", plan), Error);
}

TEST_F(DeviceTest, some_are_shared_by_all) {
  make("/dev/kvm");
  make("/dev/shm/x");
  for (wire::RunRef run : {one, two}) {
    EXPECT_EQ(give(run, "kvm").devices.at(0).host_path, "/dev/kvm");
    EXPECT_EQ(give(run, "hostSharedMemory").mounts.at(0).target, "/dev/shm");
  }
  EXPECT_TRUE(store.holders().empty());
}

TEST_F(DeviceTest, others_belong_to_one_run_at_a_time) {
  store.set_cpus(2);
  EXPECT_EQ(give(one, "cpu").cpuset, "0");
  EXPECT_EQ(give(one, "cpu").cpuset, "0") << "asked again";
  EXPECT_EQ(give(two, "cpu").cpuset, "1");
  wire::RunRef three{TaskId::random(env), 0};
  engine::ContainerSpec plan;
  EXPECT_THROW(store.give(three, "cpu", plan), Error);
  store.take_back(one);
  EXPECT_EQ(give(three, "cpu").cpuset, "0");
  EXPECT_EQ(store.holders(), (std::set<wire::RunRef>{two, three}));
}

TEST_F(DeviceTest, a_camera_and_a_real_sound_card_are_not_given_out) {
  make("/dev/video0");
  make("/dev/video2");
  make("/sys/devices/virtual/video4linux/video2");
  EXPECT_EQ(give(one, "loopbackVideo").devices.at(0).host_path, "/dev/video2");
  for (int card : {0, 1}) {
    for (const char* node : {"controlC", "pcmC"}) {
      for (const char* part : {"", "D0c", "D0p", "D1c", "D1p"}) make(fmt::format("/dev/snd/{}{}{}", node, card, part));
    }
  }
  make("/proc/asound/card0/id", "PCH\n");
  make("/proc/asound/card1/id", "Loopback\n");
  engine::ContainerSpec plan = give(one, "loopbackAudio");
  ASSERT_EQ(plan.devices.size(), 5u);
  EXPECT_EQ(plan.devices[0].host_path, "/dev/snd/controlC1");
  EXPECT_EQ(plan.devices[4].host_path, "/dev/snd/pcmC1D1p");
}

TEST_F(DeviceTest, a_containers_label_tells_what_it_has) {
  store.set_cpus(2);
  make("/dev/video3");
  make("/sys/devices/virtual/video4linux/video3");
  engine::ContainerSpec plan;
  store.give(one, "cpu", plan);
  store.give(one, "loopbackVideo", plan);
  EXPECT_EQ(plan.labels[held_devices_label], "cpu:0 loopbackVideo:3");
  DeviceStore restarted{{root.file(""), true}};
  restarted.set_cpus(2);
  restarted.restore(one, plan.labels);
  engine::ContainerSpec other;
  EXPECT_THROW(restarted.give(two, "loopbackVideo", other), Error);
  restarted.give(two, "cpu", other);
  EXPECT_EQ(other.cpuset, "1");
  restarted.restore(two, {{held_devices_label, "nonsense :: cpu: cpu:x"}});
}

}  // namespace
}  // namespace gantry::agent
