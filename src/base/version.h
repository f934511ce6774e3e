/* version.h - which Rundlet this is. */
#pragma once

#define RUNDLET_VERSION "0.1.0"
