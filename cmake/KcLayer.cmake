# SPDX-License-Identifier: LicenseRef-OfficeFlow
# Flags and the helpers that make one object library per layer and one test per case.

add_library(kc_flags INTERFACE)
target_compile_features(kc_flags INTERFACE c_std_11)
target_include_directories(kc_flags INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_definitions(kc_flags INTERFACE KC_VERSION="${PROJECT_VERSION}")
# gcc 12 moves the load of an intrusive list's head out of a loop that takes items off it (kn_conn_flush), unless
# told not to reason by types.
target_compile_options(kc_flags INTERFACE
  -fvisibility=hidden -fno-strict-aliasing -fno-strict-overflow -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion
  -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wwrite-strings -Wvla -Wundef -Wformat=2
  -Wcast-align $<$<BOOL:${KC_WERROR}>:-Werror>)
if(KC_SANITIZE)
  target_compile_options(kc_flags INTERFACE -fsanitize=${KC_SANITIZE} -fno-omit-frame-pointer
    -fno-sanitize-recover=all)
  target_link_options(kc_flags INTERFACE -fsanitize=${KC_SANITIZE})
else()
  target_compile_options(kc_flags INTERFACE $<$<CONFIG:Release,RelWithDebInfo>:-fstack-protector-strong>)
  target_compile_definitions(kc_flags INTERFACE $<$<CONFIG:Release,RelWithDebInfo>:_FORTIFY_SOURCE=2>)
endif()
if(KC_BUILD_FUZZERS) # libFuzzer sees where an input goes only in code that was compiled for it
  target_compile_options(kc_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(KC_COVERAGE)
  target_compile_options(kc_flags INTERFACE --coverage)
  target_link_options(kc_flags INTERFACE --coverage)
endif()

# kc_layer(NAME SOURCES... [INCLUDE dirs] [LINK libs]): the object library kc_NAME.
function(kc_layer name)
  cmake_parse_arguments(arg "" "" "SOURCES;INCLUDE;LINK" ${ARGN})
  add_library(kc_${name} OBJECT ${arg_SOURCES})
  set_target_properties(kc_${name} PROPERTIES POSITION_INDEPENDENT_CODE ON C_EXTENSIONS OFF)
  target_include_directories(kc_${name} PUBLIC ${arg_INCLUDE})
  target_link_libraries(kc_${name} PRIVATE kc_flags PUBLIC ${arg_LINK})
endfunction()
