from setuptools import find_packages, setup

setup(
    name="guestbook",
    version="1.0",
    packages=find_packages(),
    install_requires=["flask==3.1.2", "gunicorn"],
    entry_points={"console_scripts": ["guestbook-say=guestbook.web:say"]},
)
