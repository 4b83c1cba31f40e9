// For the unit tests of every layer.
#pragma once

#include "network.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
