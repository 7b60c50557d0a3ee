# SPDX-License-Identifier: LicenseRef-OfficeFlow
# Installs to a stage, moves the stage (nothing may remember where it was), then builds and runs consumers:
# by find_package, shared and static, by pkg-config, and each public header alone.
cmake_minimum_required(VERSION 3.25)

function(run what)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${what} failed (${status}):\n${output}")
  endif()
  message(STATUS "${what}: ok")
endfunction()

function(run_program what program)
  execute_process(COMMAND ${CMAKE_COMMAND} -E env LD_LIBRARY_PATH=${prefix}/${LIBDIR} ${program} ${ARGN}
    RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT status EQUAL 0 OR NOT output MATCHES "KC_ERR_TIMEOUT")
    message(FATAL_ERROR "${what} failed (${status}):\n${output}")
  endif()
  message(STATUS "${what}: ok")
endfunction()

file(REMOVE_RECURSE ${WORK})
set(prefix ${WORK}/moved)
run("install" ${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK}/stage)
file(RENAME ${WORK}/stage ${prefix})
file(GLOB_RECURSE texts ${prefix}/*.cmake ${prefix}/*.pc)
foreach(text IN LISTS texts)
  file(READ ${text} content)
  foreach(path IN ITEMS ${WORK} ${BUILD})
    string(FIND "${content}" "${path}" at)
    if(NOT at EQUAL -1)
      message(FATAL_ERROR "${text} holds the path ${path}")
    endif()
  endforeach()
endforeach()

set(flags "")
if(SANITIZE)
  set(flags -fsanitize=${SANITIZE})
endif()
set(consumer ${CMAKE_CURRENT_LIST_DIR}/consumer)

run("find_package, configure" ${CMAKE_COMMAND} -G ${GENERATOR} -S ${consumer} -B ${WORK}/consumer
  -D CMAKE_PREFIX_PATH=${prefix} -D CMAKE_C_COMPILER=${CC} -D CMAKE_C_FLAGS=${flags}
  -D OFFICEFLOW=${OFFICEFLOW})
run("find_package, build" ${CMAKE_COMMAND} --build ${WORK}/consumer)
run_program("find_package, shared" ${WORK}/consumer/use_shared)
run_program("find_package, static" ${WORK}/consumer/use_static)

# No more than the shared library is needed to build with it.
set(ENV{PKG_CONFIG_PATH} ${prefix}/${LIBDIR}/pkgconfig)
set(package kafkac)
set(define "")
if(OFFICEFLOW)
  set(package officeflow)
  set(define -DOFFICEFLOW)
endif()
foreach(kind IN ITEMS shared static)
  set(option "")
  if(kind STREQUAL static)
    set(option --static)
  endif()
  execute_process(COMMAND pkg-config ${option} --cflags --libs ${package} RESULT_VARIABLE status
    OUTPUT_VARIABLE found OUTPUT_STRIP_TRAILING_WHITESPACE)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "pkg-config does not find ${package}")
  endif()
  if(kind STREQUAL static)
    string(REGEX REPLACE "-l(kafkac|officeflow)" "-l:lib\\1.a" found "${found}")
  endif()
  separate_arguments(found)
  run("pkg-config, ${kind}, build" ${CC} ${flags} ${define} ${consumer}/use.c -o ${WORK}/use_${kind} ${found})
  run_program("pkg-config, ${kind}" ${WORK}/use_${kind})
endforeach()

file(GLOB_RECURSE headers RELATIVE ${prefix}/${INCLUDEDIR} ${prefix}/${INCLUDEDIR}/*.h)
if(NOT headers)
  message(FATAL_ERROR "no header was installed")
endif()
find_program(cxx NAMES g++ clang++)
foreach(header IN LISTS headers)
  file(WRITE ${WORK}/alone.c "#include <${header}>\n#include <${header}>\nint main(void);\n")
  run("<${header}> alone, C11" ${CC} -std=c11 -Wall -Wextra -Wpedantic -Wconversion -Wundef -Werror
    -fsyntax-only -I ${prefix}/${INCLUDEDIR} ${WORK}/alone.c)
  if(cxx)
    run("<${header}> alone, C++17" ${cxx} -x c++ -std=c++17 -Wall -Wextra -Werror -fsyntax-only
      -I ${prefix}/${INCLUDEDIR} ${WORK}/alone.c)
  endif()
endforeach()

if(PROGRAM)
  run("the program" ${prefix}/${BINDIR}/officeflow --version)
endif()
