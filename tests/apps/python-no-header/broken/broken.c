#include <Python.h>
#include <nowhere/kdtree.h>
